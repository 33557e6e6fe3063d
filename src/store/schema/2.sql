-- Nothing ever wrote notes of a requester's own jobs.
DROP TABLE submissions;
