-- Policy "trial": a VM that began where somebody had a reservation yields to the next one too, as long as it runs.

ALTER TABLE vms ADD COLUMN lodger INTEGER NOT NULL DEFAULT 0 CHECK (lodger IN (0, 1));

-- A recording is of the tables as they were.
DELETE FROM inputs;
