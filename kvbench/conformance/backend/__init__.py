"""The backend suite: calls of a Backend, so that it can check any store with an adapter.

``context`` what cases work with · ``suite`` how the runner uses it · ``guard`` lets only isolated
keys pass · ``calls`` every call that takes a key, a value or a TTL · ``cases/`` the cases.
"""
