-- A listing is put together in listing.py: what matches, the page of it, the order.
-- A filter that is not set is null or an empty list. Ids sort by creation, so "newest first" is by id.

-- name: up
order by id limit $limit

-- name: down
order by id desc limit $limit

-- name: page
-- Ids between two cursors.
where ($above::uuid is null or id > $above::uuid)
    and ($below::uuid is null or id < $below::uuid)

-- name: agents
-- place puts agents in the listing's order, with those that have no value at its end.
with matching as (
    select
        id,
        case $order_by
            when 'updated_at' then epoch_us(updated_at)
            when 'last_run_completion' then epoch_us(last_run_completion)
        end as value,
        coalesce(value * $sign, 9223372036854775807) as place
    from agent
    where ($name is null or name = $name)
        and ($query_text is null or contains(lower(name), lower($query_text)))
        and (len($tags::varchar[]) = 0 or case
            when $match_all_tags then list_has_all(tags, $tags::varchar[])
            else list_has_any(tags, $tags::varchar[]) end)
        and ($project_id is null or project_id = $project_id)
        and ($template_id is null or template_id = $template_id)
        and ($base_template_id is null or base_template_id = $base_template_id)
        and ($identity_id is null or list_contains(identity_ids, $identity_id))
        and ($created_by_id is null or created_by_id = $created_by_id)
        and ($last_stop_reason is null or last_stop_reason = $last_stop_reason)
        and ($block_id is null or list_contains(block_ids, $block_id))
        and ($archive_id is null or list_contains(archive_ids, $archive_id))
        and (not $grouped or grouped)
        and ($hidden or hidden is not true)
)

-- name: count_agents
select count(*) from matching

-- name: agent_page
-- Agents between two keys of the listing; equal places are told apart by id.
select value, id from matching
where ($after_id::uuid is null or place > $after_place or (
        place = $after_place and if($sign < 0, id < $after_id::uuid, id > $after_id::uuid)))
    and ($before_id::uuid is null or place < $before_place or (
        place = $before_place and if($sign < 0, id > $before_id::uuid, id < $before_id::uuid)))

-- name: agent_up
order by place * $way, id limit $limit

-- name: agent_down
order by place * $way, id desc limit $limit

-- name: agent_moments
-- What one agent is sorted by.
select epoch_us(updated_at), epoch_us(last_run_completion) from agent where id = $id::uuid

-- name: block_agents
-- How many agents of this shard each block is attached to.
select block_id, count(*) from (select unnest(block_ids) as block_id from agent) group by block_id

-- name: blocks
-- $attached and $agents say side by side how many agents a block is attached to; others have none.
with attachment as (
    select unnest($attached::uuid[]) as id, unnest($agents::bigint[]) as agents
),
matching as (
    select id, value, body
    from block left join attachment using (id)
    where not deleted
        and ($label is null or label = $label)
        and ($name is null or name = $name)
        and (not $templates_only or is_template)
        and ($label_search is null or contains(lower(label), lower($label_search)))
        and ($description_search is null or contains(lower(description), lower($description_search)))
        and ($value_search is null or contains(lower(value), lower($value_search)))
        and ($project_id is null or project_id = $project_id)
        and (len($tags::varchar[]) = 0 or case
            when $match_all_tags then list_has_all(tags, $tags::varchar[])
            else list_has_any(tags, $tags::varchar[]) end)
        and (len($agents_eq::bigint[]) = 0 or list_contains($agents_eq::bigint[], coalesce(agents, 0)))
        and ($agents_gt is null or coalesce(agents, 0) > $agents_gt)
        and ($agents_lt is null or coalesce(agents, 0) < $agents_lt)
        and ($hidden or hidden is not true)
)

-- name: count_blocks
select count(*) from matching

-- name: block_page
select id, value, body from matching

-- name: documents
select id, kind, body from document

-- name: where_documents
    and not deleted and kind = $kind and ($name is null or name = $name)

-- name: messages
-- Cursors are ordinals within one agent, and ids across agents.
select body from message
where ($agent_id::uuid is null or agent_id = $agent_id::uuid)
    and ($above_ordinal is null or ordinal > $above_ordinal)
    and ($below_ordinal is null or ordinal < $below_ordinal)
    and ($above_id::uuid is null or id > $above_id::uuid)
    and ($below_id::uuid is null or id < $below_id::uuid)
    and ($run_id::uuid is null or run_id = $run_id::uuid)
    and ($step_id::uuid is null or step_id = $step_id::uuid)
    and (len($roles::varchar[]) = 0 or role in $roles::varchar[])
    and (len($words::varchar[]) = 0 or (
        contains(text, $words[1])
        and len(list_filter($words::varchar[], lambda word: not contains(text, word))) = 0))
    and ($start::timestamp is null or created_at >= $start::timestamp)
    and ($end::timestamp is null or created_at <= $end::timestamp)

-- name: message_up
order by ordinal limit $limit

-- name: message_down
order by ordinal desc limit $limit

-- name: ordinal
select ordinal from message
where id = $id::uuid and ($agent_id::uuid is null or agent_id = $agent_id::uuid)

-- name: runs
select body from run

-- name: where_runs
    and (len($agent_ids::uuid[]) = 0 or agent_id in $agent_ids::uuid[])
    and (len($statuses::varchar[]) = 0 or status in $statuses::varchar[])
    and ($stop_reason is null or stop_reason = $stop_reason)
    and ($background::boolean is null or background = $background)
    and ($conversation_id is null or conversation_id = $conversation_id)

-- name: steps
select body from step

-- name: where_steps
    and ($agent_id::uuid is null or agent_id = $agent_id::uuid)
    and ($run_id::uuid is null or run_id = $run_id::uuid)
    and ($model is null or model = $model)
    and ($feedback is null or feedback = $feedback)
    and ($has_feedback::boolean is null or (feedback is not null) = $has_feedback)
    and (len($tags::varchar[]) = 0 or list_has_any(tags, $tags::varchar[]))
    and ($start::timestamp is null or created_at >= $start::timestamp)
    and ($end::timestamp is null or created_at <= $end::timestamp)
    and ($project_id is null or agent_id in (select id from agent where project_id = $project_id))

-- name: message
select body from message where id = $id::uuid

-- name: messages_of
-- Those of these messages that are one agent's.
select body from message where agent_id = $agent_id::uuid and id in $ids::uuid[]

-- name: message_agent
select agent_id from message where id = $id::uuid

-- name: run
select body from run where id = $id::uuid

-- name: step
select body from step where id = $id::uuid

-- name: tags
-- Distinct tags of agents and blocks.
select tag from (
    select unnest(tags) as tag from agent
    union
    select unnest(tags) as tag from block where not deleted
)
order by tag
