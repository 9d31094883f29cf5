-- What enqueued a job, for those who follow a trace; the release before leaves it out.
ALTER TABLE jobs ADD COLUMN traceparent text;
