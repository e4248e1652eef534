-- Every version of every block, derived from the log. record is the compressed block. No index, because
-- it grows with history.
create table block_version (
    id uuid not null,
    version bigint not null,
    record blob not null
);
