"""What tests make and read: a tiny model, hostile files, pages, runs."""
