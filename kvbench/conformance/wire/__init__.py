"""The wire suite: raw bytes to host:port, so that it can check a server in any language.

``connection`` and ``context`` what cases work with · ``trace`` what crossed a connection ·
``guard`` lets only isolated keys pass · ``codec`` and ``oracle`` what to send, and what a right
server answers · ``suite`` how the runner uses it · ``vectors`` plays data · ``explore`` and
``strategies`` generate · ``history`` and ``linearizability`` concurrency · ``discover`` what a
server can do · ``repro`` failures in files · ``cases/`` the cases.
"""
