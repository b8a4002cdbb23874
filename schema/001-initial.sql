-- The first schema. Times are microseconds since the epoch (0 = not yet), sizes bytes, CPU millicores.
-- Names in state, kind and the like are those of the API.

CREATE TABLE meta (
	key TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 0), ('last_lease', 0), ('last_slot', 0), ('last_transfer', 0), ('last_image', 0),
	('last_node', 0);

CREATE TABLE nodes (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	state TEXT NOT NULL CHECK (state IN ('up', 'silent', 'draining')),
	drain INTEGER NOT NULL DEFAULT 0, -- an operator's wish; survives silence
	cpu INTEGER NOT NULL CHECK (cpu >= 0),
	memory INTEGER NOT NULL CHECK (memory >= 0),
	disk INTEGER NOT NULL CHECK (disk >= 0),
	net_in INTEGER NOT NULL CHECK (net_in >= 0),
	net_out INTEGER NOT NULL CHECK (net_out >= 0),
	pool INTEGER NOT NULL CHECK (pool >= 0),
	suspend_rate INTEGER NOT NULL CHECK (suspend_rate > 0),
	resume_rate INTEGER NOT NULL CHECK (resume_rate > 0),
	hypervisor TEXT NOT NULL DEFAULT '',
	version TEXT NOT NULL DEFAULT '',
	seen_us INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE images (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	format TEXT NOT NULL CHECK (format IN ('raw', 'qcow2', 'kernel')),
	cmdline TEXT NOT NULL DEFAULT '',
	size INTEGER NOT NULL CHECK (size > 0),
	disk INTEGER NOT NULL CHECK (disk >= 0), -- of the disk inside; 0 = none, or not known (qcow2 at an URL)
	owner TEXT NOT NULL,
	added_us INTEGER NOT NULL
) STRICT;

CREATE TABLE image_files (
	image INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
	role TEXT NOT NULL CHECK (role IN ('disk', 'kernel', 'initrd')),
	digest TEXT NOT NULL CHECK (length(digest) = 64),
	size INTEGER NOT NULL CHECK (size > 0),
	url TEXT NOT NULL DEFAULT '', -- '' = served by the built-in repository
	PRIMARY KEY (image, role)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL DEFAULT '',
	owner TEXT NOT NULL,
	kind TEXT NOT NULL CHECK (kind IN ('ar', 'best-effort', 'immediate')),
	state TEXT NOT NULL,
	serial INTEGER NOT NULL,
	vms INTEGER NOT NULL CHECK (vms > 0),
	cpu INTEGER NOT NULL CHECK (cpu > 0),
	memory INTEGER NOT NULL CHECK (memory > 0),
	disk INTEGER NOT NULL CHECK (disk >= 0),
	image INTEGER NOT NULL,    -- no foreign key: a removed image leaves its old leases
	image_name TEXT NOT NULL,
	start_us INTEGER NOT NULL, -- agreed, advance reservations only
	duration_us INTEGER NOT NULL CHECK (duration_us > 0),
	submitted_us INTEGER NOT NULL,
	first_start_us INTEGER NOT NULL DEFAULT 0,
	ended_us INTEGER NOT NULL DEFAULT 0,
	reason TEXT NOT NULL DEFAULT '',      -- lib/reason.h: name of the code
	reason_res INTEGER NOT NULL DEFAULT 0,
	reason_lease INTEGER NOT NULL DEFAULT 0,
	reason_arg INTEGER NOT NULL DEFAULT 0,
	detail TEXT NOT NULL DEFAULT ''       -- an agent's own words on a failure
) STRICT;
CREATE INDEX leases_open ON leases (state) WHERE state NOT IN ('rejected', 'done', 'cancelled', 'failed');
CREATE INDEX leases_final ON leases (max(submitted_us, ended_us), id)
	WHERE state IN ('rejected', 'done', 'cancelled', 'failed');
CREATE INDEX leases_owner ON leases (owner, id);

CREATE TABLE vms (
	lease INTEGER NOT NULL REFERENCES leases ON DELETE CASCADE,
	vm INTEGER NOT NULL CHECK (vm >= 0),
	state TEXT NOT NULL,
	node INTEGER NOT NULL, -- 0 = none
	generation INTEGER NOT NULL,
	planned INTEGER NOT NULL,
	run_from TEXT NOT NULL CHECK (run_from IN ('boot', 'resume')),
	run_then TEXT NOT NULL CHECK (run_then IN ('stop', 'suspend')),
	prepare_us INTEGER NOT NULL,
	start_us INTEGER NOT NULL,
	end_us INTEGER NOT NULL,
	release_us INTEGER NOT NULL,
	served_us INTEGER NOT NULL,
	started_us INTEGER NOT NULL,
	PRIMARY KEY (lease, vm),
	CHECK (planned = 0 OR (prepare_us <= start_us AND start_us < end_us AND end_us <= release_us))
) STRICT, WITHOUT ROWID;

CREATE TABLE slots (
	id INTEGER PRIMARY KEY,
	kind TEXT NOT NULL CHECK (kind IN ('prepare', 'run', 'stop', 'suspend', 'hold', 'resume')),
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
CREATE INDEX slots_end ON slots (end_us);
CREATE INDEX slots_lease ON slots (lease);

CREATE TABLE transfers (
	id INTEGER PRIMARY KEY,
	image INTEGER NOT NULL,
	image_name TEXT NOT NULL,
	node INTEGER NOT NULL REFERENCES nodes,
	state TEXT NOT NULL CHECK (state IN ('planned', 'done', 'failed')),
	start_us INTEGER NOT NULL,
	end_us INTEGER NOT NULL,
	deadline_us INTEGER NOT NULL,
	bytes INTEGER NOT NULL DEFAULT 0, -- received so far, by the agent's last report
	CHECK (start_us <= end_us)
) STRICT;
CREATE INDEX transfers_end ON transfers (end_us);

-- Which images a node's pool holds, by its agent's word.
CREATE TABLE pool (
	node INTEGER NOT NULL REFERENCES nodes,
	image INTEGER NOT NULL,
	PRIMARY KEY (node, image)
) STRICT, WITHOUT ROWID;

-- What happened; rev is monotone and never used twice. Written in the transaction of what it tells of.
CREATE TABLE events (
	rev INTEGER PRIMARY KEY AUTOINCREMENT,
	at_us INTEGER NOT NULL,
	kind TEXT NOT NULL, -- lease.moved, lease.promise_broken, vm.seen, node.state, image.added, image.removed, transfer...
	lease INTEGER NOT NULL DEFAULT 0,
	node INTEGER NOT NULL DEFAULT 0,
	data TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
CREATE INDEX events_lease ON events (lease, rev) WHERE lease <> 0;

-- Answers by request_id, so that a repeated request gets the same one.
CREATE TABLE requests (
	owner TEXT NOT NULL,
	request_id TEXT NOT NULL,
	method TEXT NOT NULL,
	digest TEXT NOT NULL, -- sha256 of the parameters: the same id with others is a conflict
	at_us INTEGER NOT NULL,
	answer TEXT NOT NULL CHECK (json_valid(answer)), -- {"result":...} or {"error":...}
	PRIMARY KEY (owner, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_at ON requests (at_us);
