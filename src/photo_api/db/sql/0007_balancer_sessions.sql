-- Which start of a balancer holds its id: a machine that was cloned has the same state folder. The
-- release before writes none.
ALTER TABLE balancers ADD COLUMN session uuid;
