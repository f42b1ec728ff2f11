-- What a person wants to be called here.
ALTER TABLE people ADD COLUMN display_name TEXT COLLATE "C";
