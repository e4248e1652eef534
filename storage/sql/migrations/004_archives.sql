-- What an entry writes besides blocks: the documents as a compressed JSON array; passages as storage/log.py
-- packs them, with their vectors.
alter table step_log add column documents blob;
alter table step_log add column passages blob;

alter table agent add column archive_ids varchar[] default [];

-- Everything below is derived from the log and can be rebuilt from it.

-- The log entry with the current version of each document that is no block.
create table document_head (
    id uuid primary key,
    version bigint not null,
    lsn bigint not null
);

-- Current versions of documents that are no blocks. kind is the prefix of their ids; body is the record as
-- JSON.
create table document (
    lsn bigint not null,
    id uuid not null,
    kind varchar not null,
    deleted boolean not null,
    name varchar,
    body varchar not null
);

-- vector has float32 numbers; body is the record as JSON, without its text.
create table passage (
    lsn bigint not null,
    id uuid not null,
    archive_id uuid not null,
    created_at timestamp not null,
    tags varchar[] not null,
    text varchar not null,
    body varchar not null,
    vector blob
);
