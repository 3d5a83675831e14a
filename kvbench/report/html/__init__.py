"""Results as one self-contained HTML page: no script, no network, no web font.

``page`` puts a document, its charts and the raw data together · ``answers`` the answer in words,
and badges · ``plot`` charts as values · ``run_plots``, ``load_plots``, ``comparison_plots`` charts
from results · ``drawing`` charts as SVG · ``template`` the template engine, which escapes all text.

Tables, figures and sentences are those of the other reports: this package decides only what is
drawn, and where it stands.
"""
