-- What operators look at. Most runs are completed, with their first commit: those are not in it.
CREATE INDEX run_unfinished ON run (state) WHERE state <> 'completed';
