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

-- name: deleted_agents
select distinct stream from step_log where lsn > $after and lsn <= $upto and kind = 'delete'

-- name: messages
select id, agent_id, role, created_at, body from message where id in $ids::uuid[]
