-- Passages that were deleted, and by which log entry, for the search index to drop them too.
create table deleted_passage (
    id uuid not null,
    lsn bigint not null
);
