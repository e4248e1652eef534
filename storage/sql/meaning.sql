-- name: models
-- The embedding models, with how many agents have each; $default is for agents without their own.
select coalesce(embedding, $default::varchar) as model, count(*) from agent
where model is not null
group by model

-- name: missing
-- Messages that have no vector of their agent's model yet, oldest first. When an agent has got another model,
-- all of its messages are asked for.
select message.id, message.lsn, message.body from message join agent on agent.id = message.agent_id
where coalesce(agent.embedding, $default::varchar) = $model
    and message.role in $roles::varchar[]
    and message.lsn <= $upto and (message.lsn > $after or agent.embedding_lsn > $after)
    and not exists (
        from message_vector where message_vector.id = message.id and message_vector.model = $model)
order by message.lsn, message.ordinal
limit $limit

-- name: made
select coalesce(max(made), 0) from message_vector

-- name: known
-- These messages, as far as they are still there, and the model of the vector that each has.
select message.id, message.agent_id, message.role, message.created_at, message_vector.model
from message left join message_vector using (id)
where message.id in $ids::uuid[]

-- name: drop
delete from message_vector where id in $ids::uuid[]

-- name: vectors
-- What one agent has got after a certain write; a vector of another size is of a model that has changed.
select id, made, created_at, [role], vector from message_vector
where agent_id = $owner and model = $model and octet_length(vector) = $size and made > $after
order by made, id

-- name: newest
-- From which write on the newest vectors are.
select min(made) from (select made from message_vector where model = $model order by made desc limit $limit)

-- name: scan
select id, vector from message_vector
where made >= $made and model = $model and octet_length(vector) = $size
    and (len($roles::varchar[]) = 0 or role in $roles::varchar[])
    and ($start::timestamp is null or created_at >= $start::timestamp)
    and ($end::timestamp is null or created_at <= $end::timestamp)

-- name: messages
select id, agent_id, role, body from message where id in $ids::uuid[]
