"""From run folders to tables, figures and a report. Never imports torch."""
