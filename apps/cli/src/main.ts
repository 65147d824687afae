console.log('streamsight')
