"""The third step of a report: what was compared becomes pages, tables, figures and lines on the terminal."""
