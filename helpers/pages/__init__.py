"""The series as web pages that compute: an engine for the browser, and the explorers on it."""
