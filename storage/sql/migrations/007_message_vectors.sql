-- The handle of the embedding model that an agent was given, and the log entry that gave it. Agents that are
-- older than this column have none until they are given one.
alter table agent add column embedding varchar;
alter table agent add column embedding_lsn bigint default 0;

-- What messages mean, for searching. It is made in the background from the messages and can be made again.
-- vector has float32 numbers; null if there is nothing to embed, or the model does not take it.
-- made numbers the writes. No index, because it grows with history.
create table message_vector (
    id uuid not null,
    agent_id uuid not null,
    role varchar not null,
    created_at timestamp not null,
    made bigint not null,
    model varchar not null,
    vector blob
);
