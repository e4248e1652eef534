-- Whether an agent has sleep-time agents, so that the groups can be listed.
alter table agent add column grouped boolean;
