import it from 'htm';
export default it;
export * from 'htm';
