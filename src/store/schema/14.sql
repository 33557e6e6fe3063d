-- The group of jobs that an ended job is one of; null for a single job, and in rows from before.
ALTER TABLE ended ADD COLUMN member_of TEXT;
CREATE INDEX ended_groups ON ended (member_of) WHERE member_of IS NOT NULL;
