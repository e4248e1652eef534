-- Times are UTC. Ids are kept as the uuid of the public id; ids that are only handed back, in full.

-- What this file is: schema version, index of the shard, number of shards.
create table meta (
    name varchar not null,
    value bigint not null
);

-- How far the log has been worked off. One row.
--   derived  every entry up to here is in the history tables
--   folded   every entry up to here is in the state table
create table progress (
    derived bigint not null,
    folded bigint not null
);
insert into progress values (0, 0);

-- The truth: one row per commit, only ever appended. No index, because it grows with history.
create table step_log (
    lsn bigint not null,
    stream uuid not null,
    seq bigint not null,
    epoch bigint not null,
    committed_at timestamp not null,
    kind varchar not null,
    key varchar,
    payload blob not null,
    blocks blob
);

-- Who may write: the newest epoch of each slot and of each agent with a host of its own.
create table claim (
    key varchar not null,
    epoch bigint not null,
    owner varchar not null,
    claimed_at timestamp not null
);

-- Agents and blocks are rewritten all the time by delete and insert. A table with an index never gives
-- the room of deleted rows back, so wide rows have none: a narrow, indexed table says where they are.

-- Up to which log entry each agent is folded.
create table head (
    id uuid primary key,
    seq bigint not null,
    lsn bigint not null
);

-- The log of an agent folded up to the entry lsn; body is null once the agent is deleted.
-- recent has the newest [seq, epoch, key] triples as JSON, to recognise a repeated commit.
create table state (
    lsn bigint not null,
    recent varchar not null,
    body blob
);

-- Everything below is derived from the log and can be rebuilt from it.

-- The log entry with each block's current version.
create table block_head (
    id uuid primary key,
    version bigint not null,
    lsn bigint not null
);

-- Current block versions. body is the record as JSON, without its value.
create table block (
    lsn bigint not null,
    id uuid not null,
    deleted boolean not null,
    label varchar not null,
    name varchar,
    is_template boolean not null,
    hidden boolean,
    project_id varchar,
    description varchar,
    tags varchar[] not null,
    value varchar not null,
    body varchar not null
);

-- What agents are listed by. history is the ordinal of the next message.
create table agent (
    id uuid not null,
    name varchar not null,
    tags varchar[] not null,
    project_id varchar,
    template_id varchar,
    base_template_id varchar,
    identity_ids varchar[] not null,
    created_by_id varchar,
    last_stop_reason varchar,
    created_at timestamp not null,
    updated_at timestamp not null,
    last_run_completion timestamp,
    hidden boolean,
    block_ids varchar[] not null,
    system_id varchar,
    history bigint not null
);

-- text is every word of the message in lower case, for searching.
create table message (
    id uuid not null,
    agent_id uuid not null,
    ordinal bigint not null,
    role varchar not null,
    created_at timestamp not null,
    run_id uuid,
    step_id uuid,
    text varchar not null,
    body varchar not null
);

create table step (
    id uuid not null,
    agent_id uuid not null,
    run_id uuid not null,
    created_at timestamp not null,
    model varchar not null,
    feedback varchar,
    tags varchar[] not null,
    body varchar not null
);

create table run (
    id uuid not null,
    agent_id uuid not null,
    status varchar not null,
    created_at timestamp not null,
    stop_reason varchar,
    background boolean not null,
    conversation_id varchar,
    body varchar not null
);
