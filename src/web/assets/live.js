// One connection for all tabs: the tab that holds the lock listens and tells the others.
export function follow(tell) {
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("entente-live") : null;
  const hear = (event) => {
    if (event.type === "changed") tell.changed();
    else if (event.type === "said") tell.said(event);
    else if (event.type === "lost") tell.lost();
    else if (event.type === "healed") tell.healed();
  };
  if (channel) channel.onmessage = (message) => hear(message.data);
  const share = (event) => { hear(event); channel?.postMessage(event); };

  const listen = () => new Promise(() => {
    let lost = false;
    let pause = 1000;
    const open = () => {
      const source = new EventSource("/live");
      source.addEventListener("open", () => {
        pause = 1000;
        if (lost) { lost = false; share({ type: "healed" }); }
      });
      source.addEventListener("changed", () => share({ type: "changed" }));
      source.addEventListener("said", (event) => share({ type: "said", ...JSON.parse(event.data) }));
      source.addEventListener("error", () => {
        source.close();
        if (!lost) { lost = true; share({ type: "lost" }); }
        setTimeout(open, pause);
        pause = Math.min(pause * 2, 15000);
      });
    };
    open();
  });
  if (navigator.locks) navigator.locks.request("entente-live", listen);
  else listen();
}
