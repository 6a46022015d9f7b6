"""What the experiments share: claims, tables, searches and intervals."""
