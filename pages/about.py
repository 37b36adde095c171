import streamlit as st

st.write("About")
