-- Reservations with a window, deadline leases, what leases cost, and whose they are as a number, for fair share. What
-- kinds there are can only be changed by making the table anew.

CREATE TABLE users (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE -- an owner
) STRICT;
INSERT INTO users (name) SELECT DISTINCT owner FROM leases ORDER BY owner;

CREATE TABLE new_leases (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL DEFAULT '',
	owner TEXT NOT NULL,
	user INTEGER NOT NULL, -- the owner's number in users; 0 = none
	kind TEXT NOT NULL CHECK (kind IN ('ar', 'best-effort', 'immediate', 'deadline', 'open')),
	state TEXT NOT NULL,
	serial INTEGER NOT NULL,
	vms INTEGER NOT NULL CHECK (vms > 0),
	cpu INTEGER NOT NULL CHECK (cpu > 0),
	memory INTEGER NOT NULL CHECK (memory > 0),
	disk INTEGER NOT NULL CHECK (disk >= 0),
	image INTEGER NOT NULL,    -- no foreign key: a removed image leaves its old leases
	image_name TEXT NOT NULL,
	start_us INTEGER NOT NULL, -- reservations: agreed; deadline leases: not before, 0 = any; open leases: from when
				   -- on they can be called, once they were: agreed; others: 0
	latest_us INTEGER NOT NULL,   -- reservations: the latest start that would have done, 0 = only that; open
				      -- leases: until when they can be called
	deadline_us INTEGER NOT NULL, -- deadline leases: done by then; else 0
	response_us INTEGER NOT NULL, -- open leases: they run within this of the call; else 0
	duration_us INTEGER NOT NULL CHECK (duration_us > 0),
	price_max INTEGER NOT NULL, -- credits; 0 = any
	price INTEGER NOT NULL,     -- credits
	submitted_us INTEGER NOT NULL,
	first_start_us INTEGER NOT NULL DEFAULT 0,
	ended_us INTEGER NOT NULL DEFAULT 0,
	reason TEXT NOT NULL DEFAULT '',      -- lib/reason.h: name of the code
	reason_res INTEGER NOT NULL DEFAULT 0,
	reason_lease INTEGER NOT NULL DEFAULT 0,
	reason_arg INTEGER NOT NULL DEFAULT 0,
	detail TEXT NOT NULL DEFAULT ''       -- an agent's own words on a failure
) STRICT;
INSERT INTO new_leases
	SELECT id, name, owner, (SELECT u.id FROM users u WHERE u.name = owner), kind, state, serial, vms, cpu, memory,
		disk, image, image_name, start_us, 0, 0, 0, duration_us, 0, 0, submitted_us, first_start_us, ended_us,
		reason, reason_res, reason_lease, reason_arg, detail
	FROM leases;
DROP TABLE leases;
ALTER TABLE new_leases RENAME TO leases;
CREATE INDEX leases_open ON leases (state) WHERE state NOT IN ('rejected', 'done', 'cancelled', 'failed');
CREATE INDEX leases_final ON leases (max(submitted_us, ended_us), id)
	WHERE state IN ('rejected', 'done', 'cancelled', 'failed');
CREATE INDEX leases_owner ON leases (owner, id);

CREATE TABLE new_slots (
	id INTEGER PRIMARY KEY,
	kind TEXT NOT NULL CHECK (kind IN ('prepare', 'run', 'stop', 'suspend', 'hold', 'resume', 'standby')),
	node INTEGER NOT NULL REFERENCES nodes,
	lease INTEGER NOT NULL REFERENCES leases ON DELETE CASCADE,
	vm INTEGER NOT NULL,
	start_us INTEGER NOT NULL,
	end_us INTEGER NOT NULL,
	cpu INTEGER NOT NULL,
	memory INTEGER NOT NULL,
	disk INTEGER NOT NULL,
	net_in INTEGER NOT NULL,
	net_out INTEGER NOT NULL,
	CHECK (start_us < end_us)
) STRICT;
INSERT INTO new_slots SELECT * FROM slots;
DROP TABLE slots;
ALTER TABLE new_slots RENAME TO slots;
CREATE INDEX slots_end ON slots (end_us);
CREATE INDEX slots_lease ON slots (lease);

-- Where a suspended guest's memory is to come from; 0 = it is there already.
ALTER TABLE vms ADD COLUMN from_node INTEGER NOT NULL DEFAULT 0;

-- A recording is of the tables as they were.
DELETE FROM inputs;
