-- The log entry that a message came with, so that the search index can ask for what it does not have yet.
alter table message add column lsn bigint default 0;
