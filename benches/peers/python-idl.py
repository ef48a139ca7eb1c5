"""The client of monitor-throughput with Python's ovs.db.idl: python-idl.py SCHEMA REMOTE.

Follows every table and column of OVN_Northbound, and prints a line of JSON each time that the mark,
NB_Global:nb_cfg, changes. It ends at the mark -1.
"""

import json
import resource
import sys
import time

import ovs.db.idl
import ovs.json
import ovs.poller

if ovs.json.PARSER != ovs.json.PARSER_C:
    sys.exit("the C extension of ovs.json is missing; Debian's package python3-openvswitch has it")


def cpu_us():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return round((usage.ru_utime + usage.ru_stime) * 1e6)


class Idl(ovs.db.idl.Idl):
    """Records how long ago each change was sent, in microseconds. The row says when it was sent."""

    def __init__(self, remote, helper):
        super().__init__(remote, helper)
        self.latencies = []

    def notify(self, event, row, updates=None):
        if event == ovs.db.idl.ROW_UPDATE and row._table.name == "Logical_Switch_Port":
            sent = int(row.options["iface-id-ver"])
            self.latencies.append((time.monotonic_ns() - sent) / 1e3)


def say(**what):
    print(json.dumps(what), flush=True)


def reads(idl):
    ports = idl.tables["Logical_Switch_Port"]
    uuids = list(ports.rows.keys())[::7]
    start = time.monotonic_ns()
    size = sum(len(port.name) + len(port.addresses) for port in ports.rows.values())
    scan = time.monotonic_ns() - start
    assert size
    start = time.monotonic_ns()
    for uuid in uuids:
        assert ports.rows.get(uuid)
    by_uuid = time.monotonic_ns() - start
    count = max(len(uuids), 1)
    say(reads=dict(by_uuid_ns=by_uuid / count, scan_us=scan / 1e3))


def main():
    schema, remote = sys.argv[1:]
    start, start_cpu, mark = time.monotonic_ns(), cpu_us(), 0
    helper = ovs.db.idl.SchemaHelper(schema)
    helper.register_all()
    idl = Idl(remote, helper)
    synced = False
    while True:
        idl.run()
        if not synced and idl.has_ever_connected():
            synced = True
            rows = len(idl.tables["Logical_Switch_Port"].rows)
            wall = (time.monotonic_ns() - start) // 1000
            say(mark=0, rows=rows, wall_us=wall, cpu_us=cpu_us() - start_cpu)
        if synced:
            now_mark = next(iter(idl.tables["NB_Global"].rows.values())).nb_cfg
            if now_mark != mark:
                mark = now_mark
                cpu, now = cpu_us(), time.monotonic_ns()
                sent = sorted(idl.latencies)
                idl.latencies = []
                if mark == -1:
                    reads(idl)
                quantile = lambda q: sent[int(q * (len(sent) - 1))] if sent else 0
                say(mark=mark, cpu_us=cpu, at_ns=now, changes=len(sent),
                    p50_us=quantile(0.5), p99_us=quantile(0.99))
                if mark == -1:
                    return
        poller = ovs.poller.Poller()
        idl.wait(poller)
        poller.block()


main()
