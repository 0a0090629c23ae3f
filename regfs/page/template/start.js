// Puts the page together.

document.documentElement.classList.add("scripted");
startMap(tree(), (node) => showWithin(pathOf(node)));
startMonths();
startAges(showAge);
startTags();
document.documentElement.dataset.ready = `${Math.round(performance.now())}`;
