-- The numbers of a finished run's output, in one word.
ALTER TABLE executions ADD COLUMN summary BLOB CHECK (summary IS NULL OR length(summary) = 32);
