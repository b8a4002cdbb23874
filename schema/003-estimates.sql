-- How long saving and restoring guests has taken so far, of each class of memory sizes on each node.

CREATE TABLE estimates (
	node INTEGER NOT NULL REFERENCES nodes (id),
	what TEXT NOT NULL, -- suspend, resume
	memory INTEGER NOT NULL CHECK (memory > 0), -- bytes, the upper end of the class
	count INTEGER NOT NULL CHECK (count > 0),
	mean_us INTEGER NOT NULL,
	squares_ms2 INTEGER NOT NULL, -- of the differences from the mean
	last_us INTEGER NOT NULL,
	PRIMARY KEY (node, what, memory)
) STRICT, WITHOUT ROWID;
