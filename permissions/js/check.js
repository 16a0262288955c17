// Stops until the program has set the state. It does not stop where nobody has to
// be asked, nor in a document that is about to go.
(question, unasked) => {
  const answer = { id: question.id, state: unasked };
  debugger;
  return answer;
}
