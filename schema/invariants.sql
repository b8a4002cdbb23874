-- What must hold in every database of the head at rest, as far as the database alone can tell. Each row returned is a
-- violation: its name and what it is about. `sqlite3 tenure.db < schema/invariants.sql` prints nothing when all is well.
-- The letters are those of the reliability promises: I1 nothing acknowledged is lost, I2 nothing is booked twice, I3 no
-- VM is in two places, I4 nothing runs that is not booked. WALL_NEVER is 2305843009213693951.

-- I1: an acknowledged request has its lease.
SELECT 'I1 request without lease' AS name, owner || ' ' || request_id AS detail
FROM requests
WHERE method = 'lease.request' AND NOT EXISTS (
	SELECT 1 FROM leases
	WHERE id = coalesce(json_extract(answer, '$.result.id'), json_extract(answer, '$.error.data.id')));

-- I1: ids are never used again: the counters are not behind.
SELECT 'I1 counter behind' AS name, key || ' ' || value AS detail
FROM meta
WHERE (key = 'last_lease' AND value < (SELECT max(id) FROM leases))
	OR (key = 'last_slot' AND value < (SELECT max(id) FROM slots))
	OR (key = 'last_transfer' AND value < (SELECT max(id) FROM transfers))
	OR (key = 'last_image' AND value < (SELECT max(id) FROM images))
	OR (key = 'last_node' AND value < (SELECT max(id) FROM nodes));

-- I1: a lease that was accepted has all its VMs.
SELECT 'I1 lease without its VMs' AS name, 'lease ' || l.id AS detail
FROM leases l
WHERE l.state <> 'rejected' AND (SELECT count(*) FROM vms v WHERE v.lease = l.id) <> l.vms;

-- I2: at no change point is more booked on a node than it has. Use grows at starts only, so it is enough to look there.
-- Slots that are over do not count: a node's capacity may have changed since. Nor does what is on standby, which others
-- may use meanwhile.
WITH now_us AS (SELECT coalesce(max(at_us), 0) AS t FROM events),
	present AS (SELECT s.* FROM slots s, now_us WHERE s.end_us > now_us.t AND s.kind <> 'standby'),
	points AS (SELECT DISTINCT node, max(start_us, (SELECT t FROM now_us)) AS t FROM present),
	used AS (
		SELECT p.node, p.t, sum(s.cpu) AS cpu, sum(s.memory) AS memory, sum(s.disk) AS disk,
			sum(s.net_in) AS net_in, sum(s.net_out) AS net_out
		FROM points p JOIN present s ON s.node = p.node AND s.start_us <= p.t AND p.t < s.end_us
		GROUP BY p.node, p.t)
SELECT 'I2 node over capacity' AS name, n.name || ' at ' || u.t AS detail
FROM used u JOIN nodes n ON n.id = u.node
WHERE u.cpu > n.cpu OR u.memory > n.memory OR u.disk > n.disk OR u.net_in > n.net_in OR u.net_out > n.net_out;

-- I2: the repository's link serves one transfer after another.
SELECT 'I2 transfers overlap' AS name, 'transfers ' || a.id || ' and ' || b.id AS detail
FROM transfers a JOIN transfers b ON a.id < b.id AND a.start_us < b.end_us AND b.start_us < a.end_us
WHERE a.state = 'planned' AND b.state = 'planned';

-- I3: no VM has two run slots at one time, on one node or two.
SELECT 'I3 VM runs twice' AS name, 'lease ' || a.lease || ' vm ' || a.vm AS detail
FROM slots a JOIN slots b ON a.lease = b.lease AND a.vm = b.vm AND a.id < b.id
	AND a.start_us < b.end_us AND b.start_us < a.end_us
WHERE a.kind = 'run' AND b.kind = 'run';

-- I3: a VM that is planned has a node.
SELECT 'I3 planned VM without node' AS name, 'lease ' || lease || ' vm ' || vm AS detail
FROM vms
WHERE planned <> 0 AND NOT EXISTS (SELECT 1 FROM nodes WHERE id = vms.node);

-- I4: a slot belongs to a VM of a lease and a node.
SELECT 'I4 slot of nothing' AS name, 'slot ' || id AS detail
FROM slots
WHERE NOT EXISTS (SELECT 1 FROM vms v WHERE v.lease = slots.lease AND v.vm = slots.vm)
	OR NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = slots.node);

-- I4: a planned run is booked: its run slot is there, on its node.
SELECT 'I4 run without slot' AS name, 'lease ' || v.lease || ' vm ' || v.vm AS detail
FROM vms v
WHERE v.planned <> 0 AND v.state NOT IN ('rejected', 'done', 'cancelled', 'failed') AND NOT EXISTS (
	SELECT 1 FROM slots s WHERE s.lease = v.lease AND s.vm = v.vm AND s.node = v.node AND s.kind = 'run'
		AND s.start_us = v.start_us);

-- A lease is final when and only when its VMs all are, and a final lease has ended.
SELECT 'lease final, VM not' AS name, 'lease ' || l.id AS detail
FROM leases l
WHERE l.state IN ('done', 'cancelled', 'failed') AND EXISTS (
	SELECT 1 FROM vms v WHERE v.lease = l.id AND v.state NOT IN ('done', 'cancelled', 'failed'));
SELECT 'VMs final, lease not' AS name, 'lease ' || l.id AS detail
FROM leases l
WHERE l.state NOT IN ('rejected', 'done', 'cancelled', 'failed') AND NOT EXISTS (
	SELECT 1 FROM vms v WHERE v.lease = l.id AND v.state NOT IN ('done', 'cancelled', 'failed'));
SELECT 'final lease without end' AS name, 'lease ' || id AS detail
FROM leases
WHERE state IN ('done', 'cancelled', 'failed') AND ended_us = 0;

-- Every state is one there is.
SELECT 'unknown state' AS name, what AS detail
FROM (SELECT 'lease ' || id AS what, state FROM leases
	UNION ALL SELECT 'lease ' || lease || ' vm ' || vm, state FROM vms)
WHERE state NOT IN ('new', 'rejected', 'queued', 'scheduled', 'standby', 'preparing', 'ready', 'active', 'suspending', 'suspended',
	'migrating', 'resuming', 'stopping', 'done', 'cancelled', 'failed');

-- The last thing the events say of a lease is the state it is in.
SELECT 'events disagree with state' AS name, 'lease ' || l.id AS detail
FROM leases l JOIN events e ON e.rev = (
	SELECT max(rev) FROM events WHERE lease = l.id AND lease <> 0 AND kind = 'lease.moved')
WHERE json_extract(e.data, '$.to') <> l.state;

-- Nothing refers to what is not there.
SELECT 'dangling reference' AS name, "table" || ' row ' || coalesce(rowid, 0) AS detail
FROM pragma_foreign_key_check;
SELECT 'damaged database' AS name, quick_check AS detail
FROM pragma_quick_check
WHERE quick_check <> 'ok';
