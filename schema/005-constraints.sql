-- Slice and period: what CPU time a lease's VMs are to get in every so many microseconds, and what nodes enforce of that.

ALTER TABLE leases ADD COLUMN slice_us INTEGER NOT NULL DEFAULT 0 CHECK (slice_us >= 0); -- 0 = no constraint
ALTER TABLE leases ADD COLUMN period_us INTEGER NOT NULL DEFAULT 0
	CHECK (period_us >= slice_us AND (period_us = 0) = (slice_us = 0));
-- With a constraint: millicores each VM takes of a node, where cpu is what was asked for.
ALTER TABLE leases ADD COLUMN cpu_booked INTEGER NOT NULL DEFAULT 0 CHECK ((cpu_booked > 0) = (period_us > 0));

ALTER TABLE nodes ADD COLUMN edf_backend TEXT NOT NULL DEFAULT 'none'; -- by which means
ALTER TABLE nodes ADD COLUMN edf_cpus INTEGER NOT NULL DEFAULT 0 CHECK (edf_cpus >= 0); -- that are managed
ALTER TABLE nodes ADD COLUMN edf_limit_ppm INTEGER NOT NULL DEFAULT 0; -- of each of them, for all constraints together
ALTER TABLE nodes ADD COLUMN edf_wake_ns INTEGER NOT NULL DEFAULT 0;   -- what a wake-up of the core costs
ALTER TABLE nodes ADD COLUMN edf_period_us INTEGER NOT NULL DEFAULT 0; -- the shortest
ALTER TABLE nodes ADD COLUMN edf_text TEXT NOT NULL DEFAULT '';        -- the agent's own words

-- A recording is of the tables as they were.
DELETE FROM inputs;
