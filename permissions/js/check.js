// Stops until the program has set the state. It does not stop where nobody has to
// be asked: there everything is granted.
(question) => {
  const answer = { id: question.id, state: 'granted' };
  debugger;
  return answer;
}
