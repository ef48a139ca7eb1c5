"""Follows OVN_Northbound with Python's ovs.db.idl: follow.py SCHEMA REMOTE.

Prints the rows as a line of JSON each time that NB_Global:nb_cfg changes. From 3 on it monitors only the
ports of type "router"; at -1 it ends.
"""

import json
import sys

import ovs.db.idl
import ovs.poller

helper = ovs.db.idl.SchemaHelper(sys.argv[1])
for table in ["NB_Global", "Logical_Switch", "Logical_Switch_Port"]:
    helper.register_table(table)
idl = ovs.db.idl.Idl(sys.argv[2], helper)
mark = None
while True:
    idl.run()
    found = [row.nb_cfg for row in idl.tables["NB_Global"].rows.values()]
    if found and found[0] != mark:
        mark = found[0]
        ports = idl.tables["Logical_Switch_Port"].rows.values()
        switches = idl.tables["Logical_Switch"].rows.values()
        rows = {
            "mark": mark,
            "ports": {p.name: [p.type, sorted(p.addresses), dict(p.options)] for p in ports},
            "switches": {s.name: sorted(p.name for p in s.ports) for s in switches},
        }
        print(json.dumps(rows, sort_keys=True), flush=True)
        if mark == 3:
            idl.cond_change("Logical_Switch_Port", [["type", "==", "router"]])
    if mark == -1:
        break
    poller = ovs.poller.Poller()
    idl.wait(poller)
    poller.block()
