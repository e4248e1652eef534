-- name: progress
select derived, folded from progress

-- name: newest
-- The last entry of the log.
select greatest(coalesce((select max(lsn) from step_log), 0), (select max(derived) from progress))

-- name: unfinished
-- What was not folded or not derived when the shard stopped, in order. Folding needs the payload only.
select
    lsn, stream, seq, epoch, kind, key, payload,
    if(lsn > $derived, blocks, null),
    if(lsn > $derived, documents, null),
    if(lsn > $derived, passages, null)
from step_log
where lsn > least($derived, $folded)
order by lsn

-- name: claims
select key, epoch from claim

-- name: drop_claims
delete from claim where key in $keys::varchar[]

-- name: set_folded
update progress set folded = $lsn
