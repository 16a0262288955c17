// Waits until an element matches the selector, is visible and stands still, and
// returns it. It ends with the document.
(selector) => new Promise((resolve, reject) => {
  let last = null;
  const look = () => {
    let element;
    try {
      element = document.querySelector(selector);
    } catch (error) {
      reject(error); // no selector
      return;
    }
    const box = element?.getBoundingClientRect();
    const visible = box && box.width > 0 && box.height > 0 &&
        getComputedStyle(element).visibility === 'visible';
    const still = visible && last && last.element === element &&
        last.x === box.x && last.y === box.y;
    if (still) {
      resolve(element);
      return;
    }
    last = visible ? {element, x: box.x, y: box.y} : null;
    // Not an animation frame: those stand still in a page that is not shown.
    setTimeout(look, visible ? 16 : 50);
  };
  look();
})
