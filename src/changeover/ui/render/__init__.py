"""A plan, a status, a report as text, Markdown, HTML, JSON."""
