extension HTMLReport {
  static let style = """
    :root{--ink:#1d2430;--soft:#667085;--paper:#fbfbf9;--card:#fff;--rule:#e3e4df;--a:#2563a8;--b:#b4552d;--c:#2f7d4f;--d:#8a5fb0;--good:#2f7d4f;--bad:#b3261e;--train:#2563a8;--audit:#8a5fb0;--transfer:#d19a2a;--wait:#dfe5ec;--down:#e9b8b3}
    @media(prefers-color-scheme:dark){:root{--ink:#e6e8ec;--soft:#98a2b3;--paper:#14171c;--card:#1b1f26;--rule:#2c323b;--a:#6ea8e8;--b:#e59a72;--c:#6cc08f;--d:#c09be6;--good:#6cc08f;--bad:#f28b82;--train:#6ea8e8;--audit:#c09be6;--transfer:#e0b354;--wait:#2f3742;--down:#6b2f2b}}
    *{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
    main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}h1{font-size:30px;margin:2px 0 8px}h2{font-size:19px;margin:34px 0 12px}
    .mark{color:var(--soft);margin:0;letter-spacing:.04em}.story{max-width:75ch;margin:6px 0 10px}.verdict{font-size:15px;font-weight:600;padding:3px 10px;border-radius:20px;vertical-align:middle;border:1px solid currentColor;white-space:nowrap}
    .good{color:var(--good)}.bad{color:var(--bad)}code{font:13px/1.4 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
    .again code{background:var(--card);border:1px solid var(--rule);padding:5px 9px;border-radius:6px;display:inline-block}button{font:inherit;font-size:13px;padding:4px 10px;border:1px solid var(--rule);border-radius:6px;background:var(--card);color:var(--ink);cursor:pointer}
    .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin-top:18px}.figures div{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:10px 12px}.figures b{display:block;font-size:19px;font-variant-numeric:tabular-nums}.figures span{color:var(--soft);font-size:13px}
    table{border-collapse:collapse;width:100%;font-size:14px}td,th{padding:5px 10px;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}th{color:var(--soft);font-weight:500}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}em{color:var(--bad);font-style:normal;font-size:12px}
    .scroll{overflow-x:auto}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:14px}figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:10px 12px}figcaption{font-weight:600;font-size:14px;margin-bottom:4px}
    svg{width:100%;height:auto;display:block}.grid{stroke:var(--rule);stroke-width:1}.tick{fill:var(--soft);font-size:10.5px}.lanes .tick{font-size:8px}.line{fill:none;stroke-width:2;stroke-linejoin:round}.line.a{stroke:var(--a)}.line.b{stroke:var(--b)}.line.c{stroke:var(--c)}.line.d{stroke:var(--d)}.dot.a{fill:var(--a)}.dot.b{fill:var(--b)}.dot.c{fill:var(--c)}.dot.d{fill:var(--d)}
    .legend{font-weight:400;color:var(--soft);font-size:13px}.legend i{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 5px 0 10px}.legend i.a{background:var(--a)}.legend i.b{background:var(--b)}.legend i.c{background:var(--c)}.legend i.d{background:var(--d)}
    .s-train{fill:var(--train);background:var(--train)}.s-audit{fill:var(--audit);background:var(--audit)}.s-transfer{fill:var(--transfer);background:var(--transfer)}.s-wait{fill:var(--wait);background:var(--wait)}.s-down{fill:var(--down);background:var(--down)}.lanes{min-width:760px}
    .note,.none{color:var(--soft);font-size:13px}summary{cursor:pointer;margin:12px 0 8px;font-weight:600}
    """
  static let script = """
    function copyLine(){var t=document.getElementById('again').textContent;if(navigator.clipboard)navigator.clipboard.writeText(t)}
    """
}
