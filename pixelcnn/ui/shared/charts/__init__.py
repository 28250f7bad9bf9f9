"""All charts, one file for each subject: numbers in, Plotly figure out. Know no Streamlit."""
