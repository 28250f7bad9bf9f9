"""What the pages are made of: the only part, with app.py and pages/, that imports streamlit."""
