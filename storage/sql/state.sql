-- name: find_states
select head.id, head.seq, state.recent, state.body
from head join state on state.lsn = head.lsn
where head.id in $ids::uuid[]

-- name: find_heads
-- Where each agent's log stands, as far as it is folded.
select head.id, head.seq, state.body is null, state.recent
from head join state on state.lsn = head.lsn
where head.id in $ids::uuid[]

-- name: folded_seqs
select id, seq from head where id in $ids::uuid[]

-- name: drop_states
-- The rows that new ones replace. The heads are changed after this.
delete from state where lsn in (select lsn from head where id in $ids::uuid[])
