// Shows the values at the step under the pointer, in every chart at once. The drawing is complete
// without it.
const charts = [...document.querySelectorAll(".chart")].map((figure) => ({
  figure,
  plot: figure.querySelector(".plot"),
  last: Number(figure.dataset.last),
  curves: [...figure.querySelectorAll(".legend li")].map((item) => {
    const dot = document.createElement("i");
    dot.className = "dot " + item.className;
    figure.querySelector(".plot").append(dot);
    const value = item.querySelector("b");
    return {
      dot, value, shown: value.textContent,
      steps: item.dataset.steps.split(" ").map(Number),
      values: item.dataset.values.split(" ").map(Number), // "nan" becomes NaN, as does "inf"
    };
  }),
}));

// As t2t.monitoring.report.scale.number writes them.
function number(value) {
  if (!Number.isFinite(value)) return "not finite";
  if (Math.abs(value) >= 999.95) return Math.round(value).toLocaleString("en");
  if (value === 0) return "0";
  return Math.abs(value) < 1e-3 ? value.toExponential(2).replace("e+", "e") : value.toPrecision(4);
}

function nearest(steps, step) {
  let low = 0, high = steps.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1;
    else high = middle;
  }
  return low > 0 && step - steps[low - 1] < steps[low] - step ? low - 1 : low;
}

function show(step) {
  for (const chart of charts) {
    const log = chart.figure.querySelector(".to-log")?.checked;
    const axis = chart.figure.querySelector((log ? ".log" : ".linear") + " svg").dataset;
    const [bottom, top] = [axis.low, axis.high].map(Number);
    const cross = chart.figure.querySelector(".cross");
    cross.style.display = step === null || step > chart.last ? "none" : "block";
    cross.style.left = (100 * step) / chart.last + "%";
    chart.figure.querySelector(".at").textContent =
      step === null ? "" : "step " + Math.round(step).toLocaleString("en");
    for (const curve of chart.curves) {
      const at = step === null ? -1 : nearest(curve.steps, step);
      const value = curve.values[at];
      const place = log
        ? Math.log(value / bottom) / Math.log(top / bottom)
        : (value - bottom) / (top - bottom);
      curve.value.textContent = at < 0 ? curve.shown : number(value);
      curve.dot.style.display = Number.isFinite(place) ? "block" : "none";
      curve.dot.style.left = (100 * curve.steps[at]) / chart.last + "%";
      curve.dot.style.top = 100 * (1 - place) + "%";
    }
  }
}

for (const chart of charts) {
  const point = (event) => {
    const box = chart.plot.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    show(Math.min(1, Math.max(0, share)) * chart.last);
  };
  chart.plot.addEventListener("pointerdown", point);
  chart.plot.addEventListener("pointermove", point);
  chart.plot.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") show(null); // a lifted finger leaves the values to be read
  });
  chart.plot.addEventListener("blur", () => show(null));
  let place = 0; // of the point that the arrow keys are at, in the first curve
  chart.plot.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || !chart.curves.length) return;
    event.preventDefault();
    const { steps } = chart.curves[0];
    place = Math.min(steps.length - 1, Math.max(0, place + move));
    show(steps[place]);
  });
}

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
