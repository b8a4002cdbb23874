-- What the planner was told, step by step, while [history] record is on: tenure-sim(1) replays it. Beside this table
-- stand copies of the others as they were when recording began: base_leases, base_vms and so on.

CREATE TABLE inputs (
	step INTEGER PRIMARY KEY,
	at_us INTEGER NOT NULL,
	data TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
