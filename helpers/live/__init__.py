"""Live figures: pictures as data, the widget that shows them, and what follows the settings of each lesson."""
