-- name: texts
-- What some log entries added to the histories, newest first; a filter that is not set is null.
select id, agent_id, role, created_at, body from message
where lsn > $after and lsn <= $upto
    and role in $roles::varchar[]
    and ($agent_id::uuid is null or agent_id = $agent_id::uuid)
    and ($start::timestamp is null or created_at >= $start::timestamp)
    and ($end::timestamp is null or created_at <= $end::timestamp)
order by lsn desc, ordinal desc
limit $limit

-- name: passages
-- What some log entries added to archives; a filter that is not set is null or an empty list.
select id, archive_id, created_at, text, tags from passage
where lsn > $after and lsn <= $upto
    and ($archive_id::uuid is null or archive_id = $archive_id::uuid)
    and ($start::timestamp is null or created_at >= $start::timestamp)
    and ($end::timestamp is null or created_at <= $end::timestamp)
    and (len($tags::varchar[]) = 0 or case
        when $match_all_tags then list_has_all(tags, $tags::varchar[])
        else list_has_any(tags, $tags::varchar[]) end)
order by lsn desc
limit $limit

-- name: deleted_passages
select id from deleted_passage where lsn > $after and lsn <= $upto

-- name: deleted_archives
select id from document where lsn > $after and lsn <= $upto and deleted and kind = 'archive'

-- name: deleted_agents
select distinct stream from step_log where lsn > $after and lsn <= $upto and kind = 'delete'

-- name: messages
select id, agent_id, role, created_at, body from message where id in $ids::uuid[]
