-- A filter that is not set is null or an empty list.

-- name: matching
-- What all ways of finding passages have in common.
where ($archive_id::uuid is null or archive_id = $archive_id::uuid)
    and ($start::timestamp is null or created_at >= $start::timestamp)
    and ($end::timestamp is null or created_at <= $end::timestamp)
    and (len($tags::varchar[]) = 0 or case
        when $match_all_tags then list_has_all(tags, $tags::varchar[])
        else list_has_any(tags, $tags::varchar[]) end)

-- name: rows
select text, body, vector from passage

-- name: rows_without_vectors
-- Vectors are most of what a passage takes.
select text, body, null from passage

-- name: page
-- Passages between two cursors, in the listing's order.
    and ($text is null or contains(lower(text), lower($text)))
    and ($above_at::timestamp is null or created_at > $above_at::timestamp
        or (created_at = $above_at::timestamp and id > $above_id::uuid))
    and ($below_at::timestamp is null or created_at < $below_at::timestamp
        or (created_at = $below_at::timestamp and id < $below_id::uuid))

-- name: up
order by created_at, id limit $limit

-- name: down
order by created_at desc, id desc limit $limit

-- name: by_id
where id in $ids::uuid[]

-- name: moment
select created_at from passage where id = $id::uuid

-- name: contents
select count(*) from passage where archive_id = $id::uuid

-- name: tags
select distinct unnest(tags) as tag from passage where archive_id = $id::uuid order by tag

-- name: vectors
-- What has been added to an archive after a certain entry of the log, in a steady order.
select id, lsn, created_at, tags, vector from passage
where archive_id = $owner and lsn > $after and vector is not null
order by lsn, id
