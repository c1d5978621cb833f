-- Pages of a group's members in the order of their ids.
CREATE INDEX members_group ON members (group_id, account_id);
DROP INDEX members_group_id_idx;
