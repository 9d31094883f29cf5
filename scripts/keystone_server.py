# mypy: ignore-errors
"""Keystone as one process: makes its database and the project with its user where they are missing,
and serves. Run in its folder by the Python that has Keystone, which knows nothing of ours; its
input is a JSON object with `port`, `project`, `user`, `password`, `admin_password`, and as `store`
the address of the project's object store, if its catalogue names one."""

import json
import os
import shutil
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from cryptography.fernet import Fernet
from keystone import exception
from keystone.cmd import bootstrap
from keystone.common import provider_api
from keystone.common.sql import upgrades
from keystone.server.wsgi import initialize_public_application

DOMAIN, REGION, ADMIN = "default", "RegionOne", "admin"


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        """Nothing: it would be a line for each token."""

    def address_string(self):
        return self.client_address[0]


def main():
    told = json.load(sys.stdin)
    make_keys()
    application = initialize_public_application()
    upgrades.offline_sync_database_to_version()
    # They are loaded already, which is possible once.
    bootstrap.backends.load_backends = dict
    populate(told, f"http://127.0.0.1:{told['port']}/v3")
    make_server("127.0.0.1", told["port"], application, Server, Handler).serve_forever()


def make_keys():
    """The key that signs next, 0, and the one that signs, 1, of tokens and of credentials."""
    for folder in ("fernet", "credentials"):
        if os.path.isdir(folder):
            continue
        unfinished = f"{folder}.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        os.mkdir(unfinished, 0o700)
        for name in ("0", "1"):
            with open(os.path.join(unfinished, name), "xb") as file:
                file.write(Fernet.generate_key())
        os.rename(unfinished, folder)


def populate(told, address):
    made = bootstrap.Bootstrapper()
    made.admin_username = made.project_name = made.admin_role_name = ADMIN
    made.admin_password = told["admin_password"]
    made.service_name, made.region_id = "keystone", REGION
    made.public_url = made.internal_url = made.admin_url = address
    made.bootstrap()
    apis = provider_api.ProviderAPIs
    project = {"id": told["project"], "name": told["project"], "domain_id": DOMAIN}
    project |= {"enabled": True, "description": "", "is_domain": False, "parent_id": DOMAIN}
    try:
        apis.resource_api.get_project(told["project"])
    except exception.ProjectNotFound:
        apis.resource_api.create_project(told["project"], project)
    who = {"name": told["user"], "domain_id": DOMAIN, "enabled": True}
    try:
        user = apis.identity_api.get_user_by_name(told["user"], DOMAIN)
    except exception.UserNotFound:
        user = apis.identity_api.create_user({**who, "password": told["password"]})
    held = apis.assignment_api.get_roles_for_user_and_project(user["id"], told["project"])
    if made.member_role_id not in held:
        apis.assignment_api.add_role_to_user_and_project(
            user["id"], told["project"], made.member_role_id
        )
    if told["store"]:
        offer(apis.catalog_api, told["store"])


def offer(catalog, address):
    """Put the object store into the catalogue. It may be elsewhere than at the last start."""
    name = {"name": "swift", "enabled": True}
    endpoint = {"service_id": "swift", "interface": "public", "region_id": REGION}
    try:
        catalog.get_service("swift")
    except exception.ServiceNotFound:
        catalog.create_service("swift", {"id": "swift", "type": "object-store", **name})
    try:
        catalog.update_endpoint("swift-public", {"url": address})
    except exception.EndpointNotFound:
        made = {"id": "swift-public", "url": address, "enabled": True, **endpoint}
        catalog.create_endpoint("swift-public", made)


main()
