"""The client of soak with Python's ovs.db.idl: python-soak.py SCHEMA REMOTES.

Follows every table and column of OVN_Northbound, and prints a line of JSON each time that the heartbeats in
NB_Global:external_ids change. A line on its input names a file with a dump, with which it compares its rows.
"""

import json
import select
import sys
import time

import ovs.db.data
import ovs.db.idl
import ovs.json
import ovs.ovsuuid
import ovs.poller

if ovs.json.PARSER != ovs.json.PARSER_C:
    sys.exit("the C extension of ovs.json is missing; Debian's package python3-openvswitch has it")


def say(**what):
    print(json.dumps(what), flush=True)


def differences(idl, path):
    """Counts the rows that only the dump has, that only the IDL has, or whose values differ."""
    differ = 0
    with open(path) as dump:
        for line in dump:
            if not line.strip():
                continue
            table = json.loads(line)
            mine = idl.tables[table["caption"][: -len(" table")]]
            names = table["headings"]
            uuid = names.index("_uuid")
            left = set(mine.rows.keys())
            for values in table["data"]:
                key = ovs.ovsuuid.from_json(values[uuid])
                left.discard(key)
                row = mine.rows.get(key)
                differ += row is None or any(
                    ovs.db.data.Datum.from_json(mine.columns[name].type, value)
                    != row._data[name]
                    for name, value in zip(names, values)
                    if name in mine.columns
                )
            differ += len(left)
    return differ


def main():
    schema, remotes = sys.argv[1:]
    helper = ovs.db.idl.SchemaHelper(schema)
    helper.register_all()
    idl = ovs.db.idl.Idl(remotes, helper)
    synced, heartbeats = False, {}
    while True:
        idl.run()
        if not synced and idl.has_ever_connected():
            synced = True
            say(rows=sum(len(table.rows) for table in idl.tables.values()))
        for row in idl.tables["NB_Global"].rows.values():
            if row.external_ids != heartbeats:
                heartbeats = row.external_ids
                say(heartbeats=heartbeats, at_ns=time.monotonic_ns())
        poller = ovs.poller.Poller()
        idl.wait(poller)
        poller.fd_wait(sys.stdin.fileno(), ovs.poller.POLLIN)
        poller.block()
        if select.select([sys.stdin], [], [], 0)[0]:
            line = sys.stdin.readline()
            if not line:
                return
            connections = idl._session.reconnect.n_successful_connections
            rows = sum(len(table.rows) for table in idl.tables.values())
            say(compared=rows, differ=differences(idl, line.strip()), connections=connections)


main()
